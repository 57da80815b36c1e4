"""How a document reads: the words, the numbers, and the view that paper and page share."""
