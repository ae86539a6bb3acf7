"""What the insights are worth, measured on people who were made up and are known in full."""
