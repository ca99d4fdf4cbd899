"""HTML to PDF, in a process of its own. Runs as a script, on WeasyPrint alone.

Reads one JSON object from standard input and writes the PDF to standard output. A process of its own so
that memory and time have limits, fonts are the shipped ones whatever the machine has, and the
collector of garbage, which finds nothing here and costs a third of the time, can be off. It fetches
nothing: every address is refused, and the refusal ends it.

The result is PDF/A-3a and PDF/UA-1 at once: a tagged file for archives and for screen readers.
"""

from __future__ import annotations

import base64
import gc
import json
import mimetypes
import sys
import warnings
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NoReturn

NO_LIBRARY, TOO_LARGE, REFUSED = 3, 4, 5
_MEMORY = 4 << 30
_UA = (
    b'<rdf:Description rdf:about="" xmlns:pdfuaid="http://www.aiim.org/pdfua/ns/id/">'
    b"<pdfuaid:part>1</pdfuaid:part></rdf:Description>"
    # PDF/A wants every property that it does not know described in the file.
    b'<rdf:Description rdf:about="" xmlns:pdfaExtension="http://www.aiim.org/pdfa/ns/extension/"'
    b' xmlns:pdfaSchema="http://www.aiim.org/pdfa/ns/schema#"'
    b' xmlns:pdfaProperty="http://www.aiim.org/pdfa/ns/property#"><pdfaExtension:schemas><rdf:Bag>'
    b'<rdf:li rdf:parseType="Resource"><pdfaSchema:schema>PDF/UA identification</pdfaSchema:schema>'
    b"<pdfaSchema:namespaceURI>http://www.aiim.org/pdfua/ns/id/</pdfaSchema:namespaceURI>"
    b"<pdfaSchema:prefix>pdfuaid</pdfaSchema:prefix><pdfaSchema:property><rdf:Seq>"
    b'<rdf:li rdf:parseType="Resource"><pdfaProperty:name>part</pdfaProperty:name>'
    b"<pdfaProperty:valueType>Integer</pdfaProperty:valueType>"
    b"<pdfaProperty:category>internal</pdfaProperty:category>"
    b"<pdfaProperty:description>Part of PDF/UA</pdfaProperty:description></rdf:li>"
    b"</rdf:Seq></pdfaSchema:property></rdf:li></rdf:Bag></pdfaExtension:schemas></rdf:Description>"
)


def typeset(request: dict[str, Any]) -> bytes:
    """The PDF of a request: its HTML, its time, its identifier, and the files that it carries."""
    from weasyprint import HTML  # noqa: PLC0415 (its failure is an answer)

    fetcher = _refuser()
    page = HTML(string=request["html"], url_fetcher=fetcher, media_type="print")
    document = page.render(pdf_variant="pdf/a-3a", pdf_tags=True)
    plain = document.metadata.generate_rdf_metadata

    def with_ua(*arguments: Any) -> bytes:
        return bytes(plain(*arguments)).replace(b"</rdf:RDF>", _UA + b"</rdf:RDF>")

    document.metadata.generate_rdf_metadata = with_ua
    written = document.write_pdf(
        finisher=_each_file_once,
        attachments=list(_attachments(request, fetcher)),
        pdf_variant="pdf/a-3a",
        pdf_tags=True,
        pdf_identifier=bytes.fromhex(request["identifier"]),
    )
    assert isinstance(written, bytes)
    return written


def _refuser() -> Any:
    """What fetches nothing: any address ends the typesetting."""
    from weasyprint.urls import FatalURLFetchingError, URLFetcher  # noqa: PLC0415

    class Refuser(URLFetcher):  # type: ignore[misc]  # WeasyPrint has no types
        def fetch(self, url: str, headers: Any = None) -> NoReturn:  # noqa: ARG002
            raise FatalURLFetchingError(f"the page asks for {url[:200]}")

    return Refuser()


def _attachments(request: dict[str, Any], fetcher: Any) -> Iterator[Any]:
    """The files in order of name, as a PDF must list them."""
    from weasyprint import Attachment  # noqa: PLC0415

    at = datetime.fromisoformat(request["time"])
    for one in sorted(request["attachments"], key=lambda one: str(one["name"])):
        yield Attachment(
            string=base64.b64decode(one["data"]),
            url_fetcher=fetcher,
            name=one["name"],
            description=one["description"],
            relationship=one["relationship"],
            created=at,
            modified=at,
        )


def _each_file_once(_: object, pdf: Any) -> None:
    """WeasyPrint lists each attached file twice."""
    if "AF" in pdf.catalog:
        pdf.catalog["AF"][:] = dict.fromkeys(pdf.catalog["AF"])


def _limit(seconds: int) -> None:
    try:
        import resource  # noqa: PLC0415 (not on Windows)
    except ImportError:
        return
    for kind, wanted in ((resource.RLIMIT_AS, _MEMORY), (resource.RLIMIT_CPU, seconds)):
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (wanted if hard < 0 else min(wanted, hard), hard))


def main() -> None:
    """Typesets the one request on standard input; what fails is one line on standard error."""
    request = json.load(sys.stdin)
    _limit(request["seconds"])
    gc.disable()
    warnings.simplefilter("ignore")
    mimetypes.init([])  # what this machine knows of files must not matter
    try:
        sys.stdout.buffer.write(typeset(request))
    except OSError as error:
        _fail(NO_LIBRARY, error)
    except MemoryError as error:
        _fail(TOO_LARGE, error)
    except Exception as error:  # noqa: BLE001 (told to the parent, which makes an error of ours of it)
        refused = type(error).__name__ == "FatalURLFetchingError"
        _fail(REFUSED if refused else 1, error)


def _fail(code: int, error: BaseException) -> NoReturn:
    message = " ".join(f"{type(error).__name__}: {error}".split())
    sys.stderr.write(f"{message[:500]}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
