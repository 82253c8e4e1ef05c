"""Where voices, results and records are kept: a folder, a bucket or memory, behind one protocol."""
