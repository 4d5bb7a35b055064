//! Fetching files that are checked before they get their name.

use super::Progress;
use addax_tensor::{Error, Result};
use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};
use std::{
    fs,
    io::{self, BufReader, Read, Seek, Write},
    path::Path,
    time::Duration,
};

/// A packed file, known by what is in it: mirrors repack files, which changes gzip headers but no content.
pub(super) struct Remote {
    pub name: &'static str,
    /// Bytes of the content.
    pub bytes: u64,
    /// SHA-256 of the content.
    pub sha256: &'static str,
}

/// Compare with `zcat FILE | wc -c` and `zcat FILE | sha256sum`.
pub(super) const FILES: [Remote; 4] = [
    Remote {
        name: "train-images-idx3-ubyte.gz",
        bytes: 47_040_016,
        sha256: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    },
    Remote {
        name: "train-labels-idx1-ubyte.gz",
        bytes: 60_008,
        sha256: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    },
    Remote {
        name: "t10k-images-idx3-ubyte.gz",
        bytes: 7_840_016,
        sha256: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    },
    Remote {
        name: "t10k-labels-idx1-ubyte.gz",
        bytes: 10_008,
        sha256: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
];

/// A packed file is not much larger than its content, whatever a server sends.
const MOST_OVERHEAD: u64 = 1 << 16;

pub(super) fn agent() -> ureq::Agent {
    config().build().into()
}

fn config() -> ureq::config::ConfigBuilder<ureq::typestate::AgentScope> {
    ureq::Agent::config_builder()
        .timeout_connect(Some(Duration::from_secs(30)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        .user_agent(concat!("addax-data/", env!("CARGO_PKG_VERSION")))
}

/// Fetches those of `files` that are not in `folder` yet. A file has its name only when it is whole and right.
pub(super) fn fetch_all(
    agent: &ureq::Agent,
    files: &[Remote],
    url: &str,
    folder: &Path,
    progress: &dyn Fn(&Progress),
) -> Result<()> {
    fs::create_dir_all(folder).map_err(|e| Error::io(format!("making {}", folder.display()), e))?;
    for file in files.iter().filter(|f| !folder.join(f.name).is_file()) {
        fetch(agent, file, &format!("{}/{}", url.trim_end_matches('/'), file.name), folder, progress)?;
    }
    Ok(())
}

fn fetch(agent: &ureq::Agent, file: &Remote, url: &str, folder: &Path, progress: &dyn Fn(&Progress)) -> Result<()> {
    let refused = |e: ureq::Error| match e {
        ureq::Error::Io(e) => Error::io(format!("downloading {url}"), e),
        ureq::Error::StatusCode(code) => {
            Error::io(format!("downloading {url}"), io::Error::other(format!("the server answered {code}")))
        }
        other => Error::io(format!("downloading {url}"), io::Error::other(other)),
    };
    let saving = |e: io::Error| Error::io(format!("writing {} in {}", file.name, folder.display()), e);
    let body = agent.get(url).call().map_err(refused)?.into_body();
    let total = body.content_length();
    let mut reader = body.into_reader().take(file.bytes + MOST_OVERHEAD);
    // Removed when dropped, unless it was given its name.
    let mut part = tempfile::Builder::new().prefix(".part-").tempfile_in(folder).map_err(saving)?;
    let mut done = 0;
    let mut chunk = vec![0; 1 << 16];
    loop {
        let n = reader.read(&mut chunk).map_err(|e| Error::io(format!("downloading {url}"), e))?;
        if n == 0 {
            break;
        }
        part.write_all(&chunk[..n]).map_err(saving)?;
        done += n as u64;
        progress(&Progress { file: file.name.to_string(), done, total });
    }
    part.rewind().map_err(saving)?;
    check(file, url, part.as_file())?;
    part.as_file().sync_all().map_err(saving)?;
    part.persist(folder.join(file.name)).map_err(|e| saving(e.error))?;
    Ok(())
}

fn check(file: &Remote, url: &str, packed: &fs::File) -> Result<()> {
    let mut content = MultiGzDecoder::new(BufReader::new(packed)).take(file.bytes + 1);
    let (mut hash, mut bytes, mut chunk) = (Sha256::new(), 0, vec![0; 1 << 16]);
    loop {
        let n = content.read(&mut chunk).map_err(|e| {
            Error::format(format!("what {url} sent is damaged or truncated: {e}; nothing was kept, try again"))
                .caused_by(e)
        })?;
        if n == 0 {
            break;
        }
        hash.update(&chunk[..n]);
        bytes += n as u64;
    }
    let sha256: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if bytes != file.bytes || sha256 != file.sha256 {
        return Err(Error::format(format!(
            "what {url} sent is not {}: expected {} bytes with SHA-256 {}, found {} {} with {sha256}; nothing was kept",
            file.name,
            file.bytes,
            file.sha256,
            if bytes > file.bytes { "at least" } else { "exactly" },
            bytes
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fashion_mnist::{DEBIAN, FashionMnist, tests::small},
        idx::tests::gzip,
    };
    use std::{
        cell::RefCell,
        io::BufRead,
        net::{TcpListener, TcpStream},
        path::PathBuf,
        thread,
    };

    /// Answers requests with what `answer` gives for a path, until the process ends; its URL.
    fn serve(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream: TcpStream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(|l| l.ok());
                let path = lines.next().unwrap().split(' ').nth(1).unwrap().to_string();
                lines.find(|line| line.is_empty());
                // A client that has seen enough may hang up.
                stream.write_all(&answer(&path)).ok();
            }
        });
        url
    }
    fn ok(length: usize, body: &[u8]) -> Vec<u8> {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        [head.as_bytes(), body].concat()
    }
    /// A proxy of the environment does not reach this machine.
    fn direct() -> ureq::Agent {
        config().proxy(None).build().into()
    }
    fn remote(name: &'static str, content: &[u8]) -> Remote {
        let sha256: String = Sha256::digest(content).iter().map(|b| format!("{b:02x}")).collect();
        Remote { name, bytes: content.len() as u64, sha256: sha256.leak() }
    }
    fn left_in(folder: &Path) -> Vec<PathBuf> {
        fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect()
    }
    /// Fetches one file of content "right" from a server that always answers this.
    fn failure(answer: Vec<u8>) -> (Error, Vec<PathBuf>) {
        let folder = tempfile::tempdir().unwrap();
        let url = serve(move |_| answer.clone());
        let error = fetch_all(&direct(), &[remote("a.gz", b"right")], &url, folder.path(), &|_| ()).unwrap_err();
        (error, left_in(folder.path()))
    }

    #[test]
    fn a_set_is_fetched_once_and_read() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("new/cache");
        let url = serve(|path| {
            let packed = small().map(|(name, bytes)| (format!("/sets/{name}.gz"), gzip(&bytes)));
            let (_, body) = packed.iter().find(|(name, _)| name == path).unwrap();
            ok(body.len(), body)
        });
        let files = small().map(|(name, bytes)| remote(format!("{name}.gz").leak(), &bytes));
        let seen = RefCell::new(Vec::new());
        let fetch = |url: &str| fetch_all(&direct(), &files, url, &cache, &|p| seen.borrow_mut().push(p.clone()));
        fetch(&format!("{url}/sets/")).unwrap();
        for file in &files {
            let seen = seen.borrow();
            let last = seen.iter().rfind(|p| p.file == file.name).unwrap();
            assert_eq!(Some(last.done), last.total);
        }
        assert_eq!(left_in(&cache).len(), 4);
        assert_eq!(FashionMnist::new().folder(&cache).load().unwrap().0.len(), 12);
        // All files are there: a server is no longer needed.
        fetch("http://127.0.0.1:9").unwrap();
    }

    #[test]
    fn wrong_content_is_not_kept() {
        let (error, left) = failure({
            let body = gzip(b"wrong");
            ok(body.len(), &body)
        });
        assert!(error.to_string().contains("a.gz sent is not a.gz: expected 5 bytes with SHA-256"), "{error}");
        assert!(left.is_empty(), "{left:?}");
        let (error, left) = failure({
            let body = gzip(&vec![0; 1 << 20]);
            ok(body.len(), &body)
        });
        assert!(error.to_string().contains("found at least 6"), "{error}");
        assert!(left.is_empty(), "{left:?}");
    }

    #[test]
    fn a_truncated_body_is_not_kept() {
        let body = gzip(b"right");
        // Cut by a lost connection, and cut on the server.
        for length in [body.len(), body.len() - 6] {
            let (error, left) = failure(ok(length, &body[..body.len() - 6]));
            assert!(error.to_string().contains("/a.gz"), "{error}");
            assert!(left.is_empty(), "{left:?}");
        }
    }

    #[test]
    fn a_refusal_is_told() {
        let (error, left) =
            failure(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\nConnection: close\r\n\r\nnone".to_vec());
        assert!(error.to_string().ends_with("/a.gz: the server answered 404"), "{error}");
        assert!(matches!(error.kind(), addax_tensor::ErrorKind::Io(_)));
        assert!(left.is_empty(), "{left:?}");
        let error = fetch_all(&direct(), &FILES, "http://127.0.0.1:9", tempfile::tempdir().unwrap().path(), &|_| ());
        assert!(error.unwrap_err().to_string().starts_with("downloading http://127.0.0.1:9/train-images"));
    }

    #[test]
    fn the_files_of_debian_pass_the_checks() {
        if !Path::new(DEBIAN).is_dir() {
            eprintln!("skipped: dataset-fashion-mnist is not installed");
            return;
        }
        let url = serve(|path| {
            let body = fs::read(format!("{DEBIAN}{path}")).unwrap();
            ok(body.len(), &body)
        });
        let folder = tempfile::tempdir().unwrap();
        fetch_all(&direct(), &FILES, &url, folder.path(), &|_| ()).unwrap();
        let (train, test) = FashionMnist::new().folder(folder.path()).load().unwrap();
        assert_eq!((train.len(), test.len()), (60_000, 10_000));
    }
}
