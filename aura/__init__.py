"""Ground floor of Aura: settings, taxonomy, errors, artifacts, tracking and the model registry.

Every other package may import this one; it imports none of them.
"""

import logging

# At import it warns that a kernel which it would download from the hub is missing; the one that it carries is used then.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
