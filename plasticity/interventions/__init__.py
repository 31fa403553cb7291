"""What is done to a network: between two stages (starts) and during one (update rules)."""
