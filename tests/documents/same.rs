//! What counts as the same when it is printed: each run has times and durations of its own,
//! and columns that are as wide as those.

/// A text without what each run has its own of.
pub fn without_chance(text: &str) -> String {
    let mut words = Vec::new();
    for word in text.split_whitespace() {
        let is_number = word.chars().all(|c| c.is_ascii_digit() || c == '.');
        words.push(if is_number {
            word.to_owned()
        } else {
            without_times(word)
        });
    }
    // A duration, and in a table the column `took`: a number before its unit.
    for index in 1..words.len() {
        if words[index].trim_end_matches([',', '.']) == "ms" {
            "N".clone_into(&mut words[index - 1]);
        }
    }
    words.join(" ")
}

/// A word with `TIME` in the place of a point in time, in either spelling of ISO 8601.
fn without_times(word: &str) -> String {
    let belongs = |c: char| c.is_ascii_digit() || matches!(c, 'T' | ':' | '.' | '-');
    let mut rest = word;
    let mut masked = String::new();
    while let Some(end) = rest.find('Z') {
        let before = &rest[..end];
        let begin = before.rfind(|c| !belongs(c)).map_or(0, |at| {
            at + before[at..].chars().next().map_or(0, char::len_utf8)
        });
        let time = &before[begin..];
        if time.contains('T') && time.chars().filter(char::is_ascii_digit).count() >= 14 {
            let hyphen = if time.starts_with('-') { "-" } else { "" };
            masked.push_str(&[&before[..begin], hyphen, "TIME"].concat());
        } else {
            masked.push_str(&rest[..=end]);
        }
        rest = &rest[end + 1..];
    }
    masked + rest
}

#[test]
fn only_times_and_durations_and_spaces_are_left_to_chance() {
    let one = "Backed up to microblog-20261124T074812.895Z-v0002.db at 2026-11-24T07:48:10Z, 14 ms";
    let other =
        "Backed up to  microblog-20270101T000000.001Z-v0002.db at 2027-01-01T00:00:00.5Z, 0.2 ms";

    assert_eq!(without_chance(one), without_chance(other));
    for changed in ["v0003", "to data"] {
        let differs = other.replace("v0002", changed);
        assert_ne!(without_chance(one), without_chance(&differs));
    }
    assert_ne!(
        without_chance("\"id\": \"1\""),
        without_chance("\"id\": \"2\"")
    );
    assert_ne!(without_chance("TAZ 1"), without_chance("TBZ 1"));
}
