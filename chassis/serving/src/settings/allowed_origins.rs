//! The setting that says which pages may call.

use std::str::FromStr;

/// The origins whose pages may call: `none`, `*`, or a list of origins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedOrigins {
    /// Every one.
    Any,
    /// The listed origins, each as browsers write it.
    List(Vec<String>),
}

impl AllowedOrigins {
    /// Whether the origin of a request is among them.
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

/// An origin as browsers write it, or what is wrong with it.
fn origin(text: &str) -> Result<String, String> {
    let wrong = |what: &str| {
        format!("`{text}` {what}; write for example https://app.example or http://localhost:8080")
    };
    let (scheme, host) = text
        .split_once("://")
        .ok_or_else(|| wrong("has no scheme"))?;
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    if host.is_empty() || host.contains(['/', '?', '#', '@', '*', ' ']) {
        return Err(wrong("is not a scheme and a host alone"));
    }
    if !text.is_ascii() || text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(wrong(
            "is not written as browsers write it, in lower-case ASCII",
        ));
    }
    if !default_port.is_empty() && host.ends_with(default_port) {
        return Err(wrong(
            "has the port that its scheme means, which browsers leave out",
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
    fn an_origin_that_no_browser_would_send_is_refused() {
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
