"""Logs through python-logging-loki: loki_handler.py URL COUNT."""

import logging
import sys

import logging_loki

url, count = sys.argv[1], int(sys.argv[2])
handler = logging_loki.LokiHandler(url=f"{url}/loki/api/v1/push", tags={"app": "python-loki"}, version="1")
# A failed push is printed by default and the program goes on; here it must end it.
handler.handleError = lambda record: sys.exit("a push failed")
logger = logging.getLogger("client")
logger.setLevel(logging.INFO)
logger.addHandler(handler)
for number in range(count):
    logger.warning("python line %d", number, extra={"tags": {"part": "x"}})
