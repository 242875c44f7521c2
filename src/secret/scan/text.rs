//! What a file is, from its first bytes and its name.

use std::borrow::Cow;

use bstr::{BStr, ByteSlice as _};

use super::engine::Depth;

/// How a file is searched, or why only a part of it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Text: everything is searched.
    Text,
    /// NUL bytes in the first 8 KiB: provider formats and key armour only.
    Binary,
    /// An archive, by name or first bytes: its members are compressed and are not searched.
    Archive,
    /// Lock files, source maps and other machine-made text full of hashes: provider formats and key armour only.
    Generated,
}

impl Kind {
    /// The tiers that apply.
    pub fn depth(self) -> Depth {
        if self == Kind::Text { Depth::Full } else { Depth::Formats }
    }
}

const ARCHIVES: &[&str] = &[
    ".zip", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar", ".tar", ".jar", ".war", ".ear", ".whl", ".egg",
    ".apk", ".aar", ".deb", ".rpm", ".lz4", ".cab", ".iso", ".dmg", ".nupkg", ".crate", ".gem", ".docx", ".xlsx",
    ".pptx",
];
const GENERATED: &[&str] = &[
    "package-lock.json",
    "npm-shrinkwrap.json",
    "yarn.lock",
    "pnpm-lock.yaml",
    "cargo.lock",
    "poetry.lock",
    "pipfile.lock",
    "composer.lock",
    "gemfile.lock",
    "go.sum",
    "flake.lock",
    "packages.lock.json",
    "podfile.lock",
    "uv.lock",
    "bun.lock",
    ".terraform.lock.hcl",
    "mix.lock",
    "pubspec.lock",
];
const GENERATED_ENDS: &[&str] = &[".js.map", ".css.map", ".min.js", ".min.css", ".svg", ".snap", ".ipynb.svg"];

/// The kind of `bytes` at `path`.
pub fn kind(path: &BStr, bytes: &[u8]) -> Kind {
    let name = path.rsplit_str("/").next().unwrap_or_default().to_ascii_lowercase();
    let head = &bytes[..bytes.len().min(8192)];
    let magic = [&b"PK\x03\x04"[..], b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf"];
    if ARCHIVES.iter().any(|e| name.ends_with(e.as_bytes())) || magic.iter().any(|m| head.starts_with(m)) {
        return Kind::Archive;
    }
    if memchr::memchr(0, head).is_some() {
        return Kind::Binary;
    }
    let generated =
        GENERATED.iter().any(|n| name == n.as_bytes()) || GENERATED_ENDS.iter().any(|e| name.ends_with(e.as_bytes()));
    if generated { Kind::Generated } else { Kind::Text }
}

/// UTF-16 with a byte-order mark (or plainly ASCII in UTF-16) as UTF-8; anything else as it is.
pub fn decoded(bytes: &[u8]) -> Cow<'_, [u8]> {
    let unit: fn([u8; 2]) -> u16 = match bytes {
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        [b' '..=b'~', 0, b' '..=b'~', 0, b' '..=b'~', 0, ..] => u16::from_le_bytes,
        [0, b' '..=b'~', 0, b' '..=b'~', 0, b' '..=b'~', ..] => u16::from_be_bytes,
        _ => return Cow::Borrowed(bytes),
    };
    let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    let text: String = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    Cow::Owned(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_utf16() {
        assert_eq!(kind("a/b.txt".into(), b"plain"), Kind::Text);
        assert_eq!(kind("a/b".into(), b"x\0y"), Kind::Binary);
        assert_eq!(kind("a/Cargo.lock".into(), b""), Kind::Generated);
        assert_eq!(kind("x.tar.gz".into(), b"text"), Kind::Archive);
        let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain("hé\n".encode_utf16().flat_map(u16::to_le_bytes)).collect();
        assert_eq!(decoded(&utf16), "\u{feff}hé\n".as_bytes());
        assert_eq!(decoded(b"plain"), &b"plain"[..]);
    }
}
