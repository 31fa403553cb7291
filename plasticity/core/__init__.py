"""What everything stands on: errors, files, tables, random streams, shutdown, logs, GPU slots."""
