"""What the mutation test is made of: functions that are broken, and runs that are looked at."""
