"""When and in which order: the nightly flow, the pipeline's working copy, and the `aura` command line."""
