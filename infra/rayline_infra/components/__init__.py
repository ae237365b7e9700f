"""One ComponentResource with typed Args per concern of the estate."""
