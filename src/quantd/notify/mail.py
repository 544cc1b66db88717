"""The channel by e-mail: smtplib in a thread of its own, since it blocks.

Used by the composition root. The thread is a daemon's and there is never more than one: a server that answers a byte a
minute holds back its own messages, and no end of the process.
"""

import asyncio
import smtplib
import ssl
import threading
from collections.abc import Callable
from email.message import EmailMessage

from quantd.notify.delivery import Undelivered
from quantd.notify.notice import Message
from quantd.notify.settings import EmailChannel
from quantd.notify.templates import subject, text


class Email:
    """Sends a message as plain text.

    Args:
        settings: Server, addresses, secrets.
        tls: For a private certificate authority; verification cannot be switched off.
    """

    def __init__(self, settings: EmailChannel, *, tls: ssl.SSLContext | None = None) -> None:
        if tls is not None and (tls.verify_mode != ssl.CERT_REQUIRED or not tls.check_hostname):
            raise ValueError("the TLS context does not verify certificates and host names")
        self._settings = settings
        self._tls = tls
        self._thread: threading.Thread | None = None

    async def send(self, message: Message) -> None:
        """Deliver a message; after a time-out it may have arrived all the same.

        Raises:
            Undelivered: it is not known to have arrived at the server.
        """
        if self._thread is not None and self._thread.is_alive():
            raise Undelivered("an earlier attempt has not ended yet")
        mail = self._mail(message)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Undelivered | None] = loop.create_future()

        def settle(result: Undelivered | None) -> None:
            if not done.done():
                done.set_result(result)

        def work() -> None:
            result = _attempt(lambda: self._deliver(mail))
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, result)

        self._thread = threading.Thread(target=work, name="notifications by e-mail", daemon=True)
        self._thread.start()
        if (failure := await done) is not None:
            raise failure

    async def close(self) -> None:
        """Do nothing: each message has a connection of its own."""

    def _mail(self, message: Message) -> EmailMessage:
        mail = EmailMessage()
        mail["From"] = self._settings.sender
        mail["To"] = ", ".join(self._settings.recipients)
        mail["Subject"] = subject(message)
        mail["Message-ID"] = f"<{message.id}@{self._settings.sender.partition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday replies
        mail.set_content(text(message, self._settings.template))
        return mail

    def _deliver(self, mail: EmailMessage) -> None:
        """Hand a mail to the server. In the thread."""
        settings = self._settings
        tls = self._tls or ssl.create_default_context()
        if settings.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                settings.host, settings.port, timeout=settings.timeout_s, context=tls
            )
        else:
            server = smtplib.SMTP(settings.host, settings.port, timeout=settings.timeout_s)
        with server:
            if settings.security == "starttls":
                server.starttls(context=tls)
            if settings.user is not None and settings.password is not None:
                server.login(settings.user, settings.password.get_secret_value())
            refused = server.send_message(mail)
        if refused:
            raise Undelivered(f"{len(refused)} of {len(settings.recipients)} recipients refused", is_final=True)


def _attempt(deliver: Callable[[], None]) -> Undelivered | None:
    """Return what went wrong, None if nothing did; never what the server said, which may repeat a secret."""
    try:
        deliver()
    except Undelivered as error:
        return error
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        return Undelivered("all recipients refused", is_final=all(code >= 500 for code in codes))
    except smtplib.SMTPResponseException as error:
        return Undelivered(f"the server answered {error.smtp_code}", is_final=error.smtp_code >= 500)
    except smtplib.SMTPNotSupportedError:
        return Undelivered("the server offers no STARTTLS or no way to log in", is_final=True)
    except (smtplib.SMTPException, OSError, ValueError) as error:
        return Undelivered(f"{type(error).__name__}: not delivered")
    return None
