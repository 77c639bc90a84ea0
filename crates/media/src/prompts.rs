//! Prompt files: decoded once, resampled to 8 kHz, encoded once per codec, shared by all planes.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use rubato::audioadapter_buffers::direct::SequentialSliceOfVecs;
use rubato::{Fft, FixedSync, Resampler};
use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;

use crate::api::Lang;
use crate::g711::RATE;
use crate::playlist::Clip;
use crate::said::Said;

/// The longest prompt or music that is loaded, in seconds; it takes 16 kB a second.
const MAX_SECONDS: usize = 1200;
/// Highest sampling rate of a file: what a memory bound allows, and more than a telephone can use.
const MAX_RATE: u32 = 192_000;

/// The prompts that planes can play. The edge reads the files and inserts them; then it is shared and never changed.
#[derive(Debug, Default)]
pub struct Prompts {
    clips: BTreeMap<Option<Lang>, BTreeMap<Arc<str>, Arc<Clip>>>,
    /// Texts that stand in flows.
    texts: BTreeMap<(Lang, Arc<str>), Arc<Clip>>,
}

/// Why a prompt file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    #[error("not a WAV, FLAC, MP3 or Ogg Vorbis file, or damaged: {0}")]
    Unreadable(String),
    #[error("holds no audio")]
    Empty,
    #[error("longer than {MAX_SECONDS} s")]
    TooLong,
    #[error("sampling rate of {0} Hz: not between 4000 and {MAX_RATE}")]
    Rate(u32),
    #[error("cannot be resampled: {0}")]
    Resample(String),
}

impl Prompts {
    /// Decodes a file and keeps it under `name` (`welcome`, `queue/please_wait`; without language and extension).
    /// `lang` is `None` for what has no language, such as `music/default`. The extension is only a hint.
    pub fn insert(
        &mut self,
        lang: Option<Lang>,
        name: &str,
        file: &[u8],
        extension: &str,
    ) -> Result<(), PromptError> {
        self.insert_samples(lang, name, &decoded(file, extension)?);
        Ok(())
    }

    /// Decodes files and keeps them as one piece under `name`: music that is a play list.
    pub fn insert_list(
        &mut self,
        name: &str,
        files: &[(&str, Vec<u8>)],
    ) -> Result<(), (usize, PromptError)> {
        let mut samples = Vec::new();
        for (number, (extension, file)) in files.iter().enumerate() {
            samples.extend(decoded(file, extension).map_err(|error| (number, error))?);
            if samples.len() > RATE as usize * MAX_SECONDS {
                return Err((number, PromptError::TooLong));
            }
        }
        self.insert_samples(None, name, &samples);
        Ok(())
    }

    /// Keeps speech of a text that stands in a flow.
    pub fn insert_text(&mut self, said: Said) {
        self.texts.insert((said.lang, said.text), said.clip);
    }

    /// Whether there is speech of a text.
    pub fn has_text(&self, lang: Lang, text: &str) -> bool {
        self.find_text(lang, &text.into()).is_some()
    }

    pub(crate) fn find_text(&self, lang: Lang, text: &Arc<str>) -> Option<&Arc<Clip>> {
        self.texts.get(&(lang, text.clone()))
    }

    /// Keeps samples at 8 kHz under `name`: prompts that a test or a speech engine made.
    pub fn insert_samples(&mut self, lang: Option<Lang>, name: &str, samples: &[i16]) {
        self.clips
            .entry(lang)
            .or_default()
            .insert(name.into(), Arc::new(Clip::new(samples)));
    }

    /// Whether `name` can be played in this language, or has none.
    pub fn has(&self, lang: Lang, name: &str) -> bool {
        self.find(lang, name).is_some()
    }

    /// Whether there is music of this name.
    pub fn has_music(&self, name: &str) -> bool {
        self.find_music(name).is_some()
    }

    /// How long `name` plays.
    pub fn duration(&self, lang: Lang, name: &str) -> Option<Duration> {
        let samples = self.find(lang, name)?.samples() as u64;
        Some(Duration::from_micros(samples * 1_000_000 / u64::from(RATE)))
    }

    /// All names with their language, in order.
    pub fn names(&self) -> impl Iterator<Item = (Option<Lang>, &str)> {
        self.clips
            .iter()
            .flat_map(|(lang, clips)| clips.keys().map(|name| (*lang, &**name)))
    }

    /// Memory of the audio in octets.
    pub fn octets(&self) -> usize {
        self.clips
            .values()
            .flat_map(BTreeMap::values)
            .chain(self.texts.values())
            .map(|clip| clip.pcmu.len() + clip.pcma.len())
            .sum()
    }

    pub(crate) fn find(&self, lang: Lang, name: &str) -> Option<&Arc<Clip>> {
        let of = |lang| self.clips.get(&lang)?.get(name);
        of(Some(lang)).or_else(|| of(None))
    }

    pub(crate) fn find_music(&self, name: &str) -> Option<&Arc<Clip>> {
        self.clips.get(&None)?.get(name)
    }
}

/// A file as samples at 8 kHz.
pub(crate) fn decoded(file: &[u8], extension: &str) -> Result<Vec<i16>, PromptError> {
    let (rate, samples) = decode(file, extension)?;
    let samples = if rate == RATE {
        samples
    } else {
        resample(samples, rate)?
    };
    Ok(samples
        .iter()
        .map(|sample| (sample * 32_767.0).round() as i16)
        .collect())
}

/// A file as mono samples of -1 to 1, with its rate.
fn decode(file: &[u8], extension: &str) -> Result<(u32, Vec<f32>), PromptError> {
    let unreadable = |error: Error| PromptError::Unreadable(error.to_string());
    let stream = MediaSourceStream::new(Box::new(Cursor::new(file)), Default::default());
    let mut hint = Hint::new();
    hint.with_extension(extension);
    let mut reader = symphonia::default::get_probe()
        .probe(
            &hint,
            stream,
            FormatOptions::default(),
            MetadataOptions::default(),
        )
        .map_err(unreadable)?;
    let track = reader
        .default_track(TrackType::Audio)
        .ok_or(PromptError::Empty)?;
    let id = track.id;
    let parameters = track
        .codec_params
        .as_ref()
        .and_then(|parameters| parameters.audio())
        .ok_or(PromptError::Empty)?;
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(parameters, &AudioDecoderOptions::default())
        .map_err(unreadable)?;
    let (mut rate, mut mono, mut interleaved) = (0, Vec::new(), Vec::new());
    while let Some(packet) = reader.next_packet().map_err(unreadable)? {
        if packet.track_id != id {
            continue;
        }
        let audio = decoder.decode(&packet).map_err(unreadable)?;
        rate = audio.spec().rate();
        if !(4000..=MAX_RATE).contains(&rate) {
            return Err(PromptError::Rate(rate));
        }
        let channels = audio.num_planes().max(1);
        interleaved.resize(audio.samples_interleaved(), 0.0f32);
        audio.copy_to_slice_interleaved(&mut interleaved);
        mono.extend(
            interleaved
                .chunks_exact(channels)
                .map(|frame| frame.iter().sum::<f32>() / channels as f32),
        );
        if mono.len() > rate as usize * MAX_SECONDS {
            return Err(PromptError::TooLong);
        }
    }
    if mono.is_empty() {
        Err(PromptError::Empty)
    } else {
        Ok((rate, mono))
    }
}

/// To 8 kHz, the delay of the filter cut off.
fn resample(samples: Vec<f32>, rate: u32) -> Result<Vec<f32>, PromptError> {
    const CHUNK: usize = 1024;
    let failed = |error: &dyn std::fmt::Display| PromptError::Resample(error.to_string());
    let mut resampler = Fft::<f32>::new(rate as usize, RATE as usize, CHUNK, 1, FixedSync::Both)
        .map_err(|error| failed(&error))?;
    let frames = samples.len();
    let channels = [samples];
    let input =
        SequentialSliceOfVecs::new(&channels[..], 1, frames).map_err(|error| failed(&error))?;
    let output = resampler
        .process_all(&input, frames, None)
        .map_err(|error| failed(&error))?;
    Ok(output.take_data())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::g711::Law;
    use crate::tone;

    /// A WAV file of 16-bit samples.
    fn wav(rate: u32, channels: u16, samples: &[i16]) -> Vec<u8> {
        let data: Vec<u8> = samples
            .iter()
            .flat_map(|sample| sample.to_le_bytes())
            .collect();
        let mut file = b"RIFF".to_vec();
        file.extend((36 + data.len() as u32).to_le_bytes());
        file.extend(b"WAVEfmt \x10\0\0\0\x01\0");
        file.extend(channels.to_le_bytes());
        file.extend(rate.to_le_bytes());
        file.extend((rate * u32::from(channels) * 2).to_le_bytes());
        file.extend((channels * 2).to_le_bytes());
        file.extend(16u16.to_le_bytes());
        file.extend(b"data");
        file.extend((data.len() as u32).to_le_bytes());
        file.extend(data);
        file
    }

    fn sine(hertz: f64, rate: u32, seconds: f64) -> Vec<i16> {
        (0..(f64::from(rate) * seconds) as u32)
            .map(|n| {
                ((f64::from(n) * hertz / f64::from(rate) * std::f64::consts::TAU).sin() * 10_000.0)
                    as i16
            })
            .collect()
    }

    #[test]
    fn any_rate_and_channels_become_8_khz_mono_of_the_same_length_and_pitch() {
        for (rate, channels) in [
            (8000, 1),
            (16_000, 1),
            (44_100, 2),
            (48_000, 2),
            (11_025, 1),
        ] {
            let mono = sine(700.0, rate, 1.0);
            let samples: Vec<i16> = mono
                .iter()
                .flat_map(|sample| vec![*sample; usize::from(channels)])
                .collect();
            let mut prompts = Prompts::default();
            prompts
                .insert(
                    Some(Lang::En),
                    "beep",
                    &wav(rate, channels, &samples),
                    "wav",
                )
                .unwrap();
            let clip = prompts.find(Lang::En, "beep").unwrap();
            assert!(
                clip.samples().abs_diff(8000) <= 1,
                "{rate}: {}",
                clip.samples()
            );
            for codec in [Law::Mu, Law::A] {
                let heard = tone::decode(codec, clip.octets(codec));
                assert!(
                    tone::purity(&heard[400..7600], 700.0, RATE) > 0.99,
                    "{rate} {codec:?}"
                );
                let level =
                    (tone::goertzel(&heard[400..7600], 700.0, RATE) * 2.0).sqrt() * 32_768.0;
                assert!((level - 10_000.0).abs() < 300.0, "{rate}: {level}");
            }
        }
    }

    #[test]
    fn every_form_of_file_loads_with_its_length_and_pitch() {
        let sounds = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sounds");
        let mut forms = Vec::new();
        for entry in std::fs::read_dir(sounds).unwrap() {
            let path = entry.unwrap().path();
            let form = path.file_name().unwrap().to_str().unwrap().to_owned();
            let file = std::fs::read(&path).unwrap();
            let extension = path.extension().unwrap().to_str().unwrap();
            let samples =
                decoded(&file, extension).unwrap_or_else(|error| panic!("{form}: {error}"));
            // MP3 begins and ends with some of its own silence.
            let spare = if form.ends_with("mp3") { 700 } else { 70 };
            assert!(
                samples.len().abs_diff(4000) <= spare,
                "{form}: {}",
                samples.len()
            );
            assert!(
                tone::purity(&samples[800..3200], 700.0, RATE) > 0.97,
                "{form}"
            );
            let hinted_wrong = decoded(&file, if extension == "wav" { "mp3" } else { "wav" });
            assert_eq!(
                hinted_wrong.unwrap(),
                samples,
                "{form}: the extension is only a hint"
            );
            forms.push(form);
        }
        assert!(forms.len() >= 9, "{forms:?}");
    }

    #[test]
    fn a_list_is_one_piece_in_order() {
        let (quiet, loud) = (wav(8000, 1, &[100; 300]), wav(16_000, 1, &[9_000; 1_000]));
        let mut prompts = Prompts::default();
        let list = [("wav", quiet.clone()), ("wav", loud)];
        prompts.insert_list("music/calm", &list).unwrap();
        let clip = prompts.find_music("music/calm").unwrap();
        assert_eq!(clip.samples(), 800);
        let heard = tone::decode(Law::A, clip.octets(Law::A));
        assert!(heard[..290].iter().all(|sample| sample.abs() < 200));
        assert!(heard[400..700].iter().all(|sample| *sample > 8_000));
        let broken = [("wav", quiet), ("wav", b"noise".to_vec())];
        let error = prompts.insert_list("music/broken", &broken).unwrap_err();
        assert!(
            matches!(error, (1, PromptError::Unreadable(_))) && !prompts.has_music("music/broken")
        );
    }

    #[test]
    fn a_language_comes_before_no_language() {
        let mut prompts = Prompts::default();
        prompts.insert_samples(None, "music/default", &[0; 8000]);
        prompts.insert_samples(None, "beep", &[0; 80]);
        prompts.insert_samples(Some(Lang::En), "beep", &[0; 160]);
        assert_eq!(
            prompts.duration(Lang::En, "beep"),
            Some(Duration::from_millis(20))
        );
        assert_eq!(
            prompts.duration(Lang::ZhCn, "beep"),
            Some(Duration::from_millis(10))
        );
        assert!(prompts.has_music("music/default") && !prompts.has(Lang::En, "gone"));
        assert_eq!(prompts.names().count(), 3);
    }

    #[test]
    fn files_that_cannot_be_played_are_errors() {
        let mut prompts = Prompts::default();
        let good = wav(8000, 1, &[0; 100]);
        for (file, extension) in [
            (&b""[..], "wav"),
            (b"hello", "flac"),
            (&good[..40], "wav"),
            (&[0xff; 5000], "mp3"),
        ] {
            assert!(
                prompts.insert(None, "bad", file, extension).is_err(),
                "{extension}"
            );
        }
        assert!(matches!(
            prompts.insert(None, "bad", &wav(1000, 1, &[1; 100]), "wav"),
            Err(PromptError::Rate(1000))
        ));
        assert_eq!(prompts.names().count(), 0);
    }
}
