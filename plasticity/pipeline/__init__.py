"""What the workflow needs of the library: no torch."""
