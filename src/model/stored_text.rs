//! How values with one text form are stored in files and shown to programs: as that text. Not for
//! what the text is. Upholds: what `Display` writes, `FromStr` reads, and nothing else is stored.

/// Implements serde's two traits by the type's `Display` and `FromStr`.
macro_rules! stored_as_text {
    ($name:ty $(, const $number:ident: usize)?) => {
        impl$(<const $number: usize>)? serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de $(, const $number: usize)?> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <String as serde::Deserialize>::deserialize(deserializer)?
                    .parse()
                    .map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(super) use stored_as_text;
