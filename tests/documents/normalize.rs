//! Removes the differences between two runs from an output: times, durations, and the column widths
//! that depend on them.

/// Returns an output with placeholders for times and durations, and single spaces.
pub fn normalize(text: &str) -> String {
    let mut words = Vec::new();
    for word in text.split_whitespace() {
        let is_number = word.chars().all(|c| c.is_ascii_digit() || c == '.');
        words.push(if is_number {
            word.to_owned()
        } else {
            without_times(word)
        });
    }
    // A duration is a number before its unit.
    for index in 1..words.len() {
        if words[index].trim_end_matches([',', '.']) == "ms" {
            "N".clone_into(&mut words[index - 1]);
        }
    }
    words.join(" ")
}

/// Replaces timestamps in a word by `TIME`. Both forms of ISO 8601, basic and extended, are
/// replaced.
fn without_times(word: &str) -> String {
    let belongs = |c: char| c.is_ascii_digit() || matches!(c, 'T' | ':' | '.' | '-');
    let mut rest = word;
    let mut masked = String::new();
    while let Some(end) = rest.find('Z') {
        let before = &rest[..end];
        let start = before.rfind(|c| !belongs(c)).map_or(0, |at| {
            at + before[at..].chars().next().map_or(0, char::len_utf8)
        });
        let time = &before[start..];
        if time.contains('T') && time.chars().filter(char::is_ascii_digit).count() >= 14 {
            let hyphen = if time.starts_with('-') { "-" } else { "" };
            masked.push_str(&[&before[..start], hyphen, "TIME"].concat());
        } else {
            masked.push_str(&rest[..=end]);
        }
        rest = &rest[end + 1..];
    }
    masked + rest
}

#[test]
fn only_times_durations_and_spaces_are_normalized() {
    let one = "Backed up to microblog-20261124T074812.895Z-v0002.db at 2026-11-24T07:48:10Z, 14 ms";
    let other =
        "Backed up to  microblog-20270101T000000.001Z-v0002.db at 2027-01-01T00:00:00.5Z, 0.2 ms";

    assert_eq!(normalize(one), normalize(other));
    for changed in ["v0003", "to data"] {
        let differs = other.replace("v0002", changed);
        assert_ne!(normalize(one), normalize(&differs));
    }
    assert_ne!(normalize("\"id\": \"1\""), normalize("\"id\": \"2\""));
    assert_ne!(normalize("TAZ 1"), normalize("TBZ 1"));
}
