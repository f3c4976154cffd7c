"""What a recording is asked, a file a question."""
