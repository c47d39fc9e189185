"""Whether a server in this container answers: `python3 healthcheck.py URL [STATUS]`. Standard library alone, as it runs often."""

import http.client
import sys
from urllib.parse import urlsplit

SECONDS = 4


def main() -> None:
    url, expected = urlsplit(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 200
    connection = http.client.HTTPConnection(url.hostname or "127.0.0.1", url.port, timeout=SECONDS)
    try:
        connection.request("GET", url.path or "/")
        status = connection.getresponse().status
    except OSError as error:
        sys.exit(f"{sys.argv[1]} does not answer: {error}")
    if status != expected:
        sys.exit(f"{sys.argv[1]} answers {status}, not {expected}")


if __name__ == "__main__":
    main()
