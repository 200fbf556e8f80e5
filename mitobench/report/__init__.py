"""What people read: made of records alone."""
