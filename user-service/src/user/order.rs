//! The orders of lists of users.

use serde::Serialize;

/// A field that users can be ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// The id, which is the order of creation.
    Id,
    /// The comparison form of the nickname, by code point.
    Nickname,
    /// The comparison form of the email address, by code point.
    Email,
    /// The creation time, which is the order of the ids.
    CreateTime,
}

/// The order of a list: the fields to order by, each ascending or descending.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Order(Vec<(Field, Direction)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Direction {
    Ascending,
    Descending,
}

/// A syntax error in an order.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownOrder {
    /// The field is unknown.
    #[error("cannot order by `{0}`; the fields are id, nickname, email and create_time")]
    Field(String),
    /// The word after a field is not a direction.
    #[error("`{0}` is not a direction; write ` desc` after a field, or nothing")]
    Direction(String),
    /// The field occurs twice.
    #[error("`{0}` occurs twice")]
    Twice(String),
}

impl Order {
    /// Parses comma-separated fields, each with an optional ` desc`
    /// ([AIP-132](https://google.aip.dev/132)). An empty text is the order by id.
    ///
    /// # Errors
    ///
    /// The first syntax error.
    pub fn parse(text: &str) -> Result<Self, UnknownOrder> {
        if text.trim().is_empty() {
            return Ok(Self(vec![(Field::Id, Direction::Ascending)]));
        }
        let mut fields: Vec<(Field, Direction)> = Vec::new();
        for part in text.split(',') {
            let mut words = part.split_ascii_whitespace();
            let name = words.next().unwrap_or_default();
            let field = match name {
                "id" => Field::Id,
                "nickname" => Field::Nickname,
                "email" => Field::Email,
                "create_time" => Field::CreateTime,
                _ => return Err(UnknownOrder::Field(name.into())),
            };
            let direction = match (words.next(), words.next()) {
                (None, _) => Direction::Ascending,
                (Some("desc"), None) => Direction::Descending,
                (Some("desc"), Some(word)) | (Some(word), _) => {
                    return Err(UnknownOrder::Direction(word.into()));
                }
            };
            if fields.iter().any(|&(other, _)| other == field) {
                return Err(UnknownOrder::Twice(name.into()));
            }
            fields.push((field, direction));
        }
        Ok(Self(fields))
    }

    /// Returns the first field, and whether it descends. Further fields have no effect, since
    /// the values of each field are unique.
    #[must_use]
    pub fn sort_key(&self) -> (Field, bool) {
        self.0
            .first()
            .map_or((Field::Id, false), |&(field, direction)| {
                (field, direction == Direction::Descending)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_order_is_the_order_by_id() {
        assert_eq!(Order::parse("").unwrap().sort_key(), (Field::Id, false));
    }

    #[test]
    fn desc_after_a_field_makes_it_descend() {
        let order = Order::parse("nickname desc").unwrap();

        assert_eq!(order.sort_key(), (Field::Nickname, true));
    }

    #[test]
    fn spaces_between_words_are_ignored() {
        assert_eq!(
            Order::parse(" nickname   desc ,id").unwrap(),
            Order::parse("nickname desc,id").unwrap()
        );
    }

    #[test]
    fn an_unknown_order_is_rejected_by_name() {
        for (text, named) in [
            ("age", "age"),
            ("Nickname", "Nickname"),
            ("id,,email", "``"),
            ("id,", "``"),
            ("nickname asc", "asc"),
            ("nickname desc desc", "desc"),
            ("id; drop table users", "id;"),
            ("id, id desc", "id"),
        ] {
            let rejection = Order::parse(text).unwrap_err().to_string();
            assert!(rejection.contains(named), "{text}: {rejection}");
        }
    }
}
