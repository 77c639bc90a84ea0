//! Text to speech: a programme that is run once a text, and what it said on disk.
//!
//! The programme gets the text (UTF-8) on its standard input and writes a sound file that a prompt may be (WAV, FLAC, MP3, Ogg Vorbis) to its
//! standard output; it ends with 0, or with a complaint on its standard error. Called with `--version` it names itself: with another version
//! everything is made anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, bail};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use media::{Lang, PlayId, Said};
use sha2::{Digest, Sha256};

use crate::clock::Clock;
use crate::edge::door::Door;
use crate::fatal;
use crate::media_thread::MediaThreads;

/// Texts that may wait for the programme; more are refused at once, and their callers hear the prompt in their place.
const WAITING_MAX: usize = 256;
/// Runs of the programme at a time: it takes some ten milliseconds of a core for a sentence.
const WORKERS: usize = 2;
/// The longest sound that is taken from it: minutes of speech.
const SOUND_MAX: u64 = 32 << 20;
/// At a check and a start nobody waits on the line.
const UNHURRIED: Duration = Duration::from_secs(20);
/// Between two looks at a running programme.
const LOOK: Duration = Duration::from_millis(2);

/// How speech is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The programme and its arguments, with `{voice}` where the voice goes.
    pub command: Vec<String>,
    pub voices: BTreeMap<Lang, String>,
    /// How long one text may take.
    pub timeout: Duration,
    /// Octets of speech that are kept on disk.
    pub cache_max: u64,
    pub cache: PathBuf,
}

/// A programme that has been seen to run, and where its speech is kept.
#[derive(Clone, Debug)]
pub struct Engine {
    settings: Settings,
    version: String,
}

impl Engine {
    /// Asks the programme what it is.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn find(settings: Settings) -> anyhow::Result<Engine> {
        let Some(programme) = settings.command.first() else {
            bail!("no programme is named");
        };
        let mut asked = Command::new(programme);
        asked.arg("--version").stdin(Stdio::null());
        let told = run(&mut asked, "", settings.timeout.max(UNHURRIED))
            .with_context(|| format!("`{programme} --version`"))?;
        let version = String::from_utf8_lossy(&told)
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned();
        Ok(Engine { settings, version })
    }

    /// Whether it can speak a language: it is made to say a word.
    ///
    /// # Errors
    /// When it has no such voice, or what it gives cannot be played.
    pub fn try_voice(&self, lang: Lang) -> anyhow::Result<()> {
        let word = match lang {
            Lang::ZhCn => "一",
            Lang::En => "one",
        };
        let said = self.run(lang, word, self.settings.timeout.max(UNHURRIED))?;
        Said::new(lang, word.into(), &said)?;
        Ok(())
    }

    /// A text as speech: what is kept of it, or made anew and kept.
    ///
    /// # Errors
    /// When the programme fails or takes too long.
    pub fn say(&self, lang: Lang, text: &Arc<str>) -> anyhow::Result<Said> {
        self.say_within(lang, text, self.settings.timeout)
    }

    fn say_within(&self, lang: Lang, text: &Arc<str>, timeout: Duration) -> anyhow::Result<Said> {
        let kept = self.place(lang, text);
        if let Ok(sound) = fs::read(&kept)
            && let Ok(said) = Said::new(lang, text.clone(), &sound)
        {
            // What is used last is thrown away last.
            let _ = File::open(&kept).and_then(|file| file.set_modified(SystemTime::now()));
            return Ok(said);
        }
        let sound = self.run(lang, text, timeout)?;
        let said = Said::new(lang, text.clone(), &sound).context("what the programme gave")?;
        if let Err(error) = self.keep(&kept, &sound) {
            tracing::warn!(
                "speech is not kept in {}: {error}",
                self.settings.cache.display()
            );
        }
        Ok(said)
    }

    fn run(&self, lang: Lang, text: &str, timeout: Duration) -> anyhow::Result<Vec<u8>> {
        let settings = &self.settings;
        let Some(voice) = settings.voices.get(&lang) else {
            bail!("no voice is named for it");
        };
        let mut words = settings
            .command
            .iter()
            .map(|word| word.replace("{voice}", voice));
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).stdin(Stdio::piped());
        let mut sound = run(&mut command, text, timeout)?;
        mend_length(&mut sound);
        Ok(sound)
    }

    /// By everything that makes the sound what it is.
    fn place(&self, lang: Lang, text: &str) -> PathBuf {
        let voice = self.settings.voices.get(&lang).map_or("", String::as_str);
        let mut hash = Sha256::new();
        let parts = self.settings.command.iter().map(String::as_str);
        for part in parts.chain([self.version.as_str(), voice, text]) {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        let name: String = hash
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        self.settings.cache.join(name)
    }

    /// Whole or not at all; then what was not used for longest goes until the rest fits.
    fn keep(&self, place: &Path, sound: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.settings.cache)?;
        let mut file = tempfile_beside(place)?;
        file.1.write_all(sound)?;
        fs::rename(&file.0, place)?;
        let mut kept: Vec<(SystemTime, u64, PathBuf)> = fs::read_dir(&self.settings.cache)?
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let about = entry.metadata().ok()?;
                Some((about.modified().ok()?, about.len(), entry.path()))
            })
            .collect();
        let mut sum: u64 = kept.iter().map(|(_, octets, _)| octets).sum();
        kept.sort();
        for (_, octets, path) in kept {
            if sum <= self.settings.cache_max {
                break;
            }
            fs::remove_file(path)?;
            sum -= octets;
        }
        Ok(())
    }
}

/// A file that only we write: two workers may make the same text.
fn tempfile_beside(place: &Path) -> io::Result<(PathBuf, File)> {
    let thread = format!("{:?}", std::thread::current().id());
    let path = place.with_extension(thread.replace(|c: char| !c.is_ascii_digit(), ""));
    let file = File::create(&path)?;
    Ok((path, file))
}

/// Runs a programme to its end, or ends it.
fn run(command: &mut Command, text: &str, timeout: Duration) -> anyhow::Result<Vec<u8>> {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0) // ended as a whole: a script's programme holds our pipes too
        .spawn()?;
    let input = child.stdin.take();
    let text = text.to_owned();
    let writer = std::thread::spawn(move || {
        // It may end without reading all: its status tells.
        input.map(|mut input| input.write_all(text.as_bytes()))
    });
    let output = collect(child.stdout.take());
    let complaint = collect(child.stderr.take());
    let ended = wait(&mut child, timeout);
    let _ = writer.join();
    let (output, complaint) = (output.join(), complaint.join());
    let Some(status) = ended? else {
        bail!("takes longer than {} s", timeout.as_secs_f32());
    };
    let complaint = complaint.unwrap_or_default();
    if !status.success() {
        bail!("{status}: {}", String::from_utf8_lossy(&complaint).trim());
    }
    match output {
        Ok(output) if !output.is_empty() => Ok(output),
        Ok(_) | Err(_) => bail!(
            "gives nothing: {}",
            String::from_utf8_lossy(&complaint).trim()
        ),
    }
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut octets = Vec::new();
        if let Some(pipe) = pipe {
            let _ = pipe.take(SOUND_MAX).read_to_end(&mut octets);
        }
        octets
    })
}

fn wait(child: &mut Child, timeout: Duration) -> io::Result<Option<std::process::ExitStatus>> {
    let until = Instant::now() + timeout;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= until {
            let group = nix::unistd::Pid::from_raw(child.id().cast_signed());
            let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(LOOK);
    }
}

/// A programme that writes WAV to a pipe cannot know its length beforehand, and claims the longest there is (espeak-ng does).
fn mend_length(sound: &mut [u8]) {
    let rest = |at: usize| u32::try_from(sound.len() - at).unwrap_or(u32::MAX);
    let mut at = 12;
    if !sound.starts_with(b"RIFF") {
        return;
    }
    while let Some(&[a, b, c, d, w, x, y, z]) = sound
        .get(at..at + 8)
        .and_then(|head| head.first_chunk::<8>())
    {
        let claimed = u32::from_le_bytes([w, x, y, z]);
        if [a, b, c, d] == *b"data" {
            let (data, riff) = (claimed.min(rest(at + 8)), rest(8));
            sound[at + 4..at + 8].copy_from_slice(&data.to_le_bytes());
            sound[4..8].copy_from_slice(&riff.to_le_bytes());
            return;
        }
        at += 8 + claimed as usize + (claimed as usize & 1);
    }
}

/// Texts to be said for a play.
struct Job {
    contact: u64,
    play: PlayId,
    texts: Vec<(Lang, Arc<str>)>,
}

/// The engine thread's end.
#[derive(Clone)]
pub struct Speaker {
    jobs: Sender<Job>,
    engine: Arc<std::sync::Mutex<Option<Engine>>>,
}

impl Speaker {
    /// Asks for speech; the answer comes through the door. False when it will not: the engine should be told so.
    pub fn ask(&self, contact: u64, play: PlayId, texts: Vec<(Lang, Arc<str>)>) -> bool {
        let job = Job {
            contact,
            play,
            texts,
        };
        match self.jobs.try_send(job) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }

    /// Another configuration.
    pub fn configure(&self, engine: Option<Engine>) {
        *self
            .engine
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = engine;
    }
}

/// Starts the workers. They end when the last [`Speaker`] is dropped.
///
/// # Errors
/// When the system gives no thread.
pub fn spawn(
    engine: Option<Engine>,
    media: &Arc<MediaThreads>,
    door: &Door,
    clock: Clock,
) -> io::Result<Speaker> {
    let (jobs, waiting) = bounded::<Job>(WAITING_MAX);
    let engine = Arc::new(std::sync::Mutex::new(engine));
    for number in 0..WORKERS {
        let (waiting, engine) = (waiting.clone(), engine.clone());
        let (media, door) = (media.clone(), door.clone());
        fatal::spawn(format!("speech-{number}"), move || {
            work(&waiting, &engine, &media, &door, clock);
        })?;
    }
    Ok(Speaker { jobs, engine })
}

fn work(
    waiting: &Receiver<Job>,
    engine: &std::sync::Mutex<Option<Engine>>,
    media: &MediaThreads,
    door: &Door,
    clock: Clock,
) {
    while let Ok(job) = waiting.recv() {
        let engine = engine
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone();
        let made = job.texts.iter().all(|(lang, text)| {
            let said = match &engine {
                Some(engine) => engine.say(*lang, text),
                None => Err(anyhow::anyhow!("no speech engine is configured")),
            };
            match said {
                Ok(said) => {
                    media.learn(&said);
                    true
                }
                Err(error) => {
                    // The text may be personal: it stays out of the log.
                    tracing::warn!(
                        "no speech for a text of {} characters: {error:#}",
                        text.chars().count()
                    );
                    false
                }
            }
        });
        let spoken = engine::Input::Spoken {
            contact: job.contact,
            play: job.play,
            made,
        };
        if !door.send(clock.now(), spoken) {
            return;
        }
    }
}

/// Speech of the texts that stand in flows, for the prompts; those that cannot be made are told.
pub fn prepare(engine: &Engine, flows: &ivr::Flows, prompts: &mut media::Prompts) -> Vec<String> {
    let mut faults = Vec::new();
    for (lang, text) in texts(flows) {
        let Some(text) = text else { continue };
        match engine.say_within(lang, &text.into(), engine.settings.timeout.max(UNHURRIED)) {
            Ok(said) => prompts.insert_text(said),
            Err(error) => faults.push(format!("\"{text}\": {error:#}")),
        }
    }
    faults
}

/// What flows read out, by language.
pub fn texts(flows: &ivr::Flows) -> BTreeSet<(Lang, Option<&str>)> {
    let of = |flow| flows.get(flow).map(ivr::Flow::texts).unwrap_or_default();
    flows
        .names()
        .flat_map(of)
        .map(|(lang, text)| (lang_in_media(lang), text))
        .collect()
}

fn lang_in_media(lang: ivr::Lang) -> Lang {
    match lang {
        ivr::Lang::ZhCn => Lang::ZhCn,
        ivr::Lang::En => Lang::En,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A programme of the shell; what it does with a text is `body`. It writes a line to `runs` each time.
    fn programme(dir: &Path, version: &str, body: &str) -> Settings {
        let path = dir.join("speak");
        let text = format!(
            "#!/bin/sh\nif [ \"$1\" = --version ]; then echo '{version}'; exit 0; fi\necho \"$@\" >>{}\n{body}\n",
            dir.join("runs").display()
        );
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Settings {
            command: vec![
                path.display().to_string(),
                "-v".to_owned(),
                "{voice}".to_owned(),
            ],
            voices: [(Lang::En, "low".to_owned())].into(),
            timeout: Duration::from_secs(20),
            cache_max: 4_000,
            cache: dir.join("cache"),
        }
    }

    /// Prints a WAV whose head claims far more than comes: 100 samples of 8 kHz.
    const WAV: &str = r"cat >/dev/null; printf 'RIFF$\360\377\177WAVEfmt \020\000\000\000\001\000\001\000\100\037\000\000\200\076\000\000\002\000\020\000data\000\360\377\177'; head -c 200 /dev/zero";

    fn runs(dir: &Path) -> usize {
        fs::read_to_string(dir.join("runs"))
            .unwrap_or_default()
            .lines()
            .count()
    }

    #[test]
    fn a_text_is_made_once_and_then_comes_from_the_disk_until_the_programme_is_another() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::find(programme(dir.path(), "1.0", WAV)).unwrap();
        let text: Arc<str> = "hello".into();
        engine.try_voice(Lang::En).unwrap();
        assert!(engine.try_voice(Lang::ZhCn).is_err(), "no voice");
        let mut prompts = media::Prompts::default();
        prompts.insert_text(engine.say(Lang::En, &text).unwrap());
        assert!(prompts.has_text(Lang::En, "hello") && !prompts.has_text(Lang::ZhCn, "hello"));
        assert_eq!(prompts.octets(), 200, "100 samples in both laws");
        engine.say(Lang::En, &text).unwrap();
        assert_eq!(runs(dir.path()), 2, "the word of the trial, and the text");
        let newer = Engine::find(programme(dir.path(), "1.1", WAV)).unwrap();
        newer.say(Lang::En, &text).unwrap();
        assert_eq!(runs(dir.path()), 3);
        assert!(
            fs::read_to_string(dir.path().join("runs"))
                .unwrap()
                .contains("-v low")
        );
    }

    #[test]
    fn the_disk_keeps_what_fits_and_what_was_used_last() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::find(programme(dir.path(), "1.0", WAV)).unwrap();
        for n in 0..40 {
            engine.say(Lang::En, &format!("text {n}").into()).unwrap();
            engine.say(Lang::En, &"always".into()).unwrap();
        }
        let kept: u64 = fs::read_dir(dir.path().join("cache"))
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum();
        assert!(kept <= 4_000, "{kept}");
        assert_eq!(runs(dir.path()), 41);
        fs::write(engine.place(Lang::En, "always"), b"damaged").unwrap();
        engine.say(Lang::En, &"always".into()).unwrap();
        assert_eq!(runs(dir.path()), 42, "what is damaged is made anew");
    }

    #[test]
    fn what_goes_wrong_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let told = |settings: Settings| match Engine::find(settings) {
            Err(error) => format!("{error:#}"),
            Ok(engine) => format!("{:#}", engine.say(Lang::En, &"hello".into()).unwrap_err()),
        };
        let gone = Settings {
            command: vec!["/nowhere/speak".to_owned()],
            ..programme(dir.path(), "1", "")
        };
        assert!(told(gone).contains("No such file"), "no programme");
        let refuses = programme(dir.path(), "1", "echo no such voice >&2; exit 1");
        assert!(told(refuses).contains("no such voice"));
        assert!(told(programme(dir.path(), "1", "true")).contains("gives nothing"));
        assert!(told(programme(dir.path(), "1", "echo hello")).contains("not a WAV"));
        let slow = Settings {
            timeout: Duration::from_millis(200),
            ..programme(dir.path(), "1", "exec sleep 60")
        };
        let told = told(slow);
        assert!(told.contains("longer than 0.2 s"), "{told}");
        assert_eq!(
            fs::read_dir(dir.path().join("cache")).map_or(0, Iterator::count),
            0
        );
    }
}
