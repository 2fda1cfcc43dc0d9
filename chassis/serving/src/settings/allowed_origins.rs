//! The setting `CORS_ALLOWED_ORIGINS`.

use std::str::FromStr;

/// The origins whose web pages may call: `none`, `*`, or a list of origins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedOrigins {
    /// Every origin is allowed.
    Any,
    /// These origins are allowed, in the form that browsers send.
    List(Vec<String>),
}

impl AllowedOrigins {
    /// Reports whether the origin of a request is allowed.
    #[must_use]
    pub fn allows(&self, origin: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::List(list) => list.iter().any(|allowed| allowed.as_bytes() == origin),
        }
    }
}

impl FromStr for AllowedOrigins {
    type Err = String;

    fn from_str(origins: &str) -> Result<Self, Self::Err> {
        match origins.trim() {
            "*" => return Ok(Self::Any),
            "" | "none" => return Ok(Self::List(Vec::new())),
            _ => {}
        }
        let list = origins.split(',').map(|one| origin(one.trim()));
        list.collect::<Result<_, _>>().map(Self::List)
    }
}

/// Checks that `text` is an origin in the form that browsers send. Another form would never match.
fn origin(text: &str) -> Result<String, String> {
    let invalid = |fault: &str| {
        format!(
            "`{text}` {fault}; write, for example, https://app.example or http://localhost:8080"
        )
    };
    let (scheme, host) = text
        .split_once("://")
        .ok_or_else(|| invalid("has no scheme"))?;
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    if host.is_empty() || host.contains(['/', '?', '#', '@', '*', ' ']) {
        return Err(invalid("is not just a scheme and a host"));
    }
    if !text.is_ascii() || text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(invalid("is not in lower-case ASCII, as browsers send it"));
    }
    if !default_port.is_empty() && host.ends_with(default_port) {
        return Err(invalid(
            "has the default port of its scheme, which browsers omit",
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_none_any_or_a_list() {
        let parsed = |text: &str| text.parse::<AllowedOrigins>().unwrap();
        let listed = parsed("https://app.example, http://localhost:8080");

        assert_eq!(parsed("none"), AllowedOrigins::List(vec![]));
        assert_eq!(parsed("*"), AllowedOrigins::Any);
        assert!(listed.allows(b"http://localhost:8080"));
        assert!(!listed.allows(b"http://localhost"));
        assert!(!parsed("none").allows(b"none"));
    }

    #[test]
    fn an_origin_that_no_browser_sends_is_rejected() {
        for text in [
            "app.example",
            "https://",
            "https://app.example/",
            "https://*.example",
            "https://App.example",
            "https://app.example:443",
            "https://a.example,,https://b.example",
            "null",
        ] {
            assert!(
                text.parse::<AllowedOrigins>().is_err(),
                "{text} was accepted"
            );
        }
    }
}
