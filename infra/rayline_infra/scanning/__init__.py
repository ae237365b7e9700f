"""An independent scanner's opinion of the estate: the graph as a Terraform plan, and checkov over it."""
