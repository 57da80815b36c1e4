"""Jobs that audit what the house promises. Private to the room."""
