"""Who will probably come back: features, models, calibration, reasons."""
