"""Networks, how they are initialised, and masks on their weights."""
