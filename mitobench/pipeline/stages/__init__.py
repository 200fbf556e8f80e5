"""What each kind of stage does. One module per kind: the code that it imports is part of the stage's cache key."""
