"""Which addresses are the same place, and which are none that a key may be sent to."""

import pytest

from quantd.venues.addresses import http_address, place_of


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("https://api.ripio.com", "api.ripio.com:443"),
        ("https://API.Ripio.com.:443/", "api.ripio.com:443"),
        ("https://api.ripio.com:8443", "api.ripio.com:8443"),
        ("http://localhost", "localhost:80"),
        ("http://127.0.0.1:9001", "localhost:9001"),
        ("https://127.9.9.9:9001", "localhost:9001"),
        ("https://[0:0:0:0:0:0:0:1]:9001", "localhost:9001"),
        ("https://[::ffff:127.0.0.1]:9001", "localhost:9001"),
        ("https://0.0.0.0:9001", "localhost:9001"),
        ("https://venue.localhost:9001", "localhost:9001"),
        ("https://localhost.example:9001", "localhost.example:9001"),
        ("https://10.0.0.7:9001", "10.0.0.7:9001"),
        ("https://[2001:DB8:0::7]", "[2001:db8::7]:443"),
        ("wss://ws.ripiotrade.co", "ws.ripiotrade.co:443"),
    ],
)
def test_a_place_is_told_by_host_and_port_however_they_are_written(address: str, place: str) -> None:
    assert place_of(address) == place


@pytest.mark.parametrize("port", ["0", "65536", "99999", "x", "-1"])
def test_an_address_whose_port_is_none_is_refused_where_it_is_configured(port: str) -> None:
    with pytest.raises(ValueError, match=r"https://HOST\[:PORT\]"):
        http_address(f"https://venue.example:{port}")
