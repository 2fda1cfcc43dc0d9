//! The settings `USER_SERVICE_LISTEN` and `POST_SERVICE_LISTEN`.

use std::net::{Ipv4Addr, SocketAddr};

/// Parses the address to listen on: an IP address and a port.
///
/// `localhost` means 127.0.0.1, which clients reach by either name: a client that resolves
/// `localhost` to `::1` first tries 127.0.0.1 next. Other names are rejected, since they may mean
/// several addresses.
///
/// # Errors
///
/// The reason that it is invalid, with examples.
pub fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let text = text.trim();
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let invalid = |why: &str| {
        Err(format!(
            "{why}; write for example 127.0.0.1:50051 for this machine only, or 0.0.0.0:50051 for \
             every network"
        ))
    };
    if text.contains('/') || text.starts_with("unix:") {
        return invalid("it is a URL or a Unix socket");
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return invalid("it has no port");
    };
    let Ok(port) = port.parse() else {
        return invalid("its port is not a number from 0 to 65535");
    };
    match host {
        "" | "*" => invalid("it does not name the network to listen on"),
        _ if host.eq_ignore_ascii_case("localhost") => Ok((Ipv4Addr::LOCALHOST, port).into()),
        _ => invalid("its host is not an IP address"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_address_are_parsed_alike() {
        for (address, texts) in [
            (
                "127.0.0.1:5",
                &[
                    "127.0.0.1:5",
                    " 127.0.0.1:5\n",
                    "localhost:5",
                    "LOCALHOST:5",
                ][..],
            ),
            ("0.0.0.0:0", &["0.0.0.0:0"]),
            ("[::1]:5", &["[::1]:5"]),
        ] {
            for text in texts {
                assert_eq!(
                    listen_address(text),
                    Ok(address.parse().unwrap()),
                    "{text:?}"
                );
            }
        }
    }

    #[test]
    fn another_form_is_rejected_with_an_example() {
        for text in [
            "",
            "5",
            ":5",
            "*:5",
            "::1:5",
            "localhost",
            "localhost:",
            "localhost:http",
            "localhost:65536",
            "127.0.0.1",
            "host.example:5",
            "http://127.0.0.1:5",
            "/run/a.sock",
            "unix:a.sock",
            "unix:/run/a.sock",
        ] {
            let reason = listen_address(text).expect_err(text);

            assert!(
                reason.contains("; write for example 127.0.0.1:50051 for"),
                "{reason}"
            );
        }
    }
}
