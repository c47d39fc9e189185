"""What the services share: assets and settings, messages, errors, middleware, decoding of images."""
