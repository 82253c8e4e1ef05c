"""What is measured on a GPU; each module has `measure(run)` and runs in a process of its own."""
