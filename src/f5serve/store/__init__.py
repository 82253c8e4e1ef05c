"""Object stores behind one protocol: a folder, an S3 bucket or memory."""
