"""The questions about product-market fit, answered by SQL over what the stages have found."""
