//! The orders in which users can be listed.

use serde::Serialize;

/// A field by which users can be put in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// As they were created.
    Id,
    /// By the form in which nicknames are compared, by code point.
    Nickname,
    /// By the form in which addresses are compared, by code point.
    Email,
    /// As they were created.
    CreateTime,
}

/// The order of a list: fields, the first of which decides, each ascending or descending.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Order(Vec<(Field, Direction)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Direction {
    Ascending,
    Descending,
}

/// Why a text is no order.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownOrder {
    /// There is no such field.
    #[error("`{0}` is no field to order by; there are id, nickname, email and create_time")]
    Field(String),
    /// What stands after a field.
    #[error("`{0}` is no direction; write ` desc` after a field, or nothing")]
    Direction(String),
    /// A field that stands there twice.
    #[error("`{0}` stands there twice")]
    Twice(String),
}

impl Order {
    /// The order that a text names: comma-separated fields, each with an optional ` desc`
    /// ([AIP-132](https://google.aip.dev/132)). An empty one is the order of the ids.
    ///
    /// # Errors
    ///
    /// The first thing in it that is not understood.
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

    /// The field that decides, and whether it descends. It alone decides: no two users
    /// share an id, a nickname, an address or a creation time, so further fields are
    /// never asked.
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
    fn no_order_is_the_order_of_the_ids() {
        assert_eq!(Order::parse("").unwrap().sort_key(), (Field::Id, false));
    }

    #[test]
    fn the_reverse_alphabetical_order_is_the_nickname_descending() {
        let order = Order::parse("nickname desc").unwrap();

        assert_eq!(order.sort_key(), (Field::Nickname, true));
    }

    #[test]
    fn spaces_between_the_words_do_not_matter() {
        assert_eq!(
            Order::parse(" nickname   desc ,id").unwrap(),
            Order::parse("nickname desc,id").unwrap()
        );
    }

    #[test]
    fn what_is_not_understood_is_refused_and_named() {
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
            let refusal = Order::parse(text).unwrap_err().to_string();
            assert!(refusal.contains(named), "{text}: {refusal}");
        }
    }
}
