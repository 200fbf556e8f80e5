"""What each kind of stage does, a module a kind. All that such a module imports decides its output."""
