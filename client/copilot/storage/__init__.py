"""Input and output of jobs: file transfer."""
