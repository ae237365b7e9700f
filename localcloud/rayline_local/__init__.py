"""The account-less cloud: one loopback process that answers like the AWS services Rayline uses."""
