"""The one address in front of the services: nginx, configured from the settings of a profile."""
