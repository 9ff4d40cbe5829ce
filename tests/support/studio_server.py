"""Serves two studios, the second with a password and a run, as a process of its own, until its input ends.

gradio keeps event loops and sockets open in the process that it is used in.
"""

import json
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from studio.web.server import StudioRequest, serving

PASSWORD = "open sesame"


def main(run: str) -> None:
    """Serve, and print both addresses."""
    requests = [
        StudioRequest(browser=False),
        StudioRequest(browser=False, password=PASSWORD, run=Path(run)),
    ]
    with ExitStack() as stack:
        servers = [stack.enter_context(serving(request)) for request in requests]
        threads = [threading.Thread(target=server.run) for server, _ in servers]
        for thread in threads:
            thread.start()
        while not all(server.started for server, _ in servers):
            if not all(thread.is_alive() for thread in threads):
                sys.exit("a server has ended before it began")
            time.sleep(0.02)
        print(json.dumps([address for _, address in servers]), flush=True)
        sys.stdin.read()
        for server, _ in servers:
            server.should_exit = True
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main(sys.argv[1])
