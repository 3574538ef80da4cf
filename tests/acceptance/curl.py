"""As much of curl as the examples use, for machines without it: headers, ``--data-binary`` and ``--fail-with-body``."""

import sys
from argparse import ArgumentParser
from urllib.error import HTTPError
from urllib.request import Request, urlopen

_HTTP_ERROR = 22


def main() -> int:
    """Post, and print the answer; curl's exit status."""
    parser = ArgumentParser()
    parser.add_argument("-sS", dest="quiet", action="store_true")
    parser.add_argument("--fail-with-body", action="store_true")
    parser.add_argument("-w", dest="after", default="")
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("--data-binary", required=True)
    parser.add_argument("url")
    asked = parser.parse_args()
    body = sys.stdin.buffer.read() if asked.data_binary == "@-" else asked.data_binary.encode()
    headers = dict(line.split(": ", 1) for line in asked.headers)
    try:
        with urlopen(Request(asked.url, data=body, headers=headers)) as answer:
            told, status = answer.read().decode(), 0
    except HTTPError as error:
        told, status = error.read().decode(), _HTTP_ERROR
    sys.stdout.write(told + asked.after.replace("\\n", "\n"))
    return status


if __name__ == "__main__":
    sys.exit(main())
