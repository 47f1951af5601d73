"""What people see: the page of a stream, and what makes it reachable."""
