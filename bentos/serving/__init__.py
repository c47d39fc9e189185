"""What the services share: settings and artifacts, the error body, decoding of pictures."""
