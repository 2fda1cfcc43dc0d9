//! The application that owns a database.

use std::fmt;

use database::sqlite::APPLICATION_ID;

/// An application, by the `PRAGMA application_id` of its databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Application(i32);

impl Application {
    /// The application of the compiled-in services.
    pub(crate) const MICROBLOG: Self = Self(APPLICATION_ID);

    /// The application of a project that names no id: `MGRT` in ASCII.
    pub(crate) const PROJECT: Self = Self::from_letters(*b"MGRT");

    /// Returns the application with an id of four ASCII letters.
    pub(crate) const fn from_letters(letters: [u8; 4]) -> Self {
        Self(i32::from_be_bytes(letters))
    }

    /// Returns the application with this id. SQLite shows an id above `i32::MAX` as a negative
    /// number. Returns `None` for an id out of range, and for 0, which every new file has.
    pub(crate) fn from_id(id: i64) -> Option<Self> {
        let id = i32::try_from(id).or_else(|_| u32::try_from(id).map(u32::cast_signed));
        id.ok().filter(|id| *id != 0).map(Self)
    }

    /// Returns the id.
    #[must_use]
    pub fn id(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::MICROBLOG => "the microblog",
            _ => "this project",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_32_bits_and_is_not_0() {
        let microblog = Some(Application::MICROBLOG);
        assert_eq!(Application::from_id(0x4D42_4C47), microblog);
        assert_eq!(Some(Application::from_letters(*b"MBLG")), microblog);
        for (id, expected) in [
            (0, None),
            (-1, Some(-1)),
            (0xFFFF_FFFF, Some(-1)),
            (0x1_0000_0000, None),
            (i64::from(i32::MIN) - 1, None),
        ] {
            assert_eq!(Application::from_id(id).map(Application::id), expected);
        }
    }
}
