"""A run replayed and looked at: telemetry, connectivity, calibration."""
