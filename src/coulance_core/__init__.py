"""What Coulance decides, without knowing where facts come from or where decisions go.

Pure Python and numpy: no framework, no clock, no input or output, no randomness. An instant is passed in, a
decision comes out as a value that explains itself.
"""
