"""Groups that may be told of: use cases, requests, friction points, personas, and their gates."""
