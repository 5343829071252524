"""Logs through the OpenTelemetry SDK and its OTLP/HTTP exporter: otel.py URL COUNT."""

import logging
import sys

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource

try:
    from opentelemetry.sdk._logs import LoggingHandler
except ImportError:
    LoggingHandler = None

url, count = sys.argv[1], int(sys.argv[2])
resource = Resource.create({"service.name": "python-otel", "service.version": "1.2.3"})
provider = LoggerProvider(resource=resource)
exporter = OTLPLogExporter(endpoint=f"{url}/otlp/v1/logs", compression=Compression.Gzip)
provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
if LoggingHandler is not None:
    logger = logging.getLogger("client")
    logger.setLevel(logging.INFO)
    logger.addHandler(LoggingHandler(logger_provider=provider))
    for number in range(count):
        logger.error("otel line %d", number, extra={"user_id": number})
else:
    import time
    from opentelemetry._logs import LogRecord, SeverityNumber
    logger = provider.get_logger("client")
    for number in range(count):
        logger.emit(LogRecord(timestamp=time.time_ns(), severity_number=SeverityNumber.ERROR,
                              severity_text="ERROR", body=f"otel line {number}", attributes={"user_id": number}))
if not provider.force_flush():
    sys.exit("the records were not delivered")
provider.shutdown()
