#!/usr/bin/env bash
# Speaks texts.toml with espeak-ng into {zh-CN,en}/**.flac (8 kHz mono) and makes music/default.flac with sox.
# Only what is new or changed is made: .made holds what each file was made of.
# Usage: make.sh [--force]
set -euo pipefail
cd "$(dirname "$0")"

for tool in espeak-ng sox flac awk; do
    command -v "$tool" >/dev/null || { echo "make.sh: $tool is missing (apt-get install espeak-ng sox flac)" >&2; exit 1; }
done
[ "${1:-}" != --force ] || rm -f .made
touch .made

recipe=1  # raise it when the way of speaking changes: everything is made anew
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# speak VOICE SPEED TEXT OUT: spoken, cut at both ends, levelled, 8 kHz.
speak() {
    espeak-ng -v "$1" -s "$2" -w "$work/said.wav" -- "$3"
    # Numbers are put together of pieces, so nothing but 20 ms of air is left around a piece.
    sox -q -D "$work/said.wav" -r 8000 -c 1 -b 16 "$work/cut.wav" \
        gain -6 highpass 120 \
        silence 1 0.01 0.5% fade t 0.005 reverse silence 1 0.01 0.5% fade t 0.01 reverse \
        pad 0.02 0.02 norm -4 vol 0.125
    pack "$work/cut.wav" "$4"
}

# pack IN OUT: a sound at an eighth of its level becomes a FLAC of 13 significant bits, which is all that G.711 hears and a third smaller.
pack() {
    sox -q -D "$1" -b 16 "$work/packed.wav" vol 8
    flac -8 -s -f --no-padding --no-seektable -o "$2" "$work/packed.wav"
}

# A loop of 24 s: four chords as soft arpeggios over a low root, each note plucked and faded, echoes around it.
music() {
    local chord note at=0 n=0 parts=() roots=()
    for chord in "C4 E4 G4 B4 D5 B4 G4 E4 C3" "A3 C4 E4 G4 B4 G4 E4 C4 A2" "F3 A3 C4 E4 G4 E4 C4 A3 F2" "G3 B3 D4 F4 A4 F4 D4 B3 G2"; do
        set -- $chord
        sox -q -n -r 16000 -c 1 "$work/root$n.wav" synth 5.9 sine "${9}" fade q 0.8 5.9 1.6 gain -20 pad "$((n * 6))"
        roots+=("$work/root$n.wav")
        local k=0
        for note in $1 $2 $3 $4 $5 $6 $7 $8; do
            at=$(awk -v n="$n" -v k="$k" 'BEGIN { printf "%.3f", n * 6 + k * 0.75 }')
            sox -q -n -r 16000 -c 1 "$work/note$n$k.wav" synth 1.9 triangle "$note" lowpass 1400 fade l 0.015 1.9 1.8 gain -15 pad "$at"
            parts+=("$work/note$n$k.wav")
            k=$((k + 1))
        done
        n=$((n + 1))
    done
    # The tail beyond 24 s is laid over the beginning, so that the loop has no seam.
    sox -q -m -v 1 "${parts[@]}" "${roots[@]}" "$work/mix.wav" echos 0.8 0.7 240 0.25 480 0.18 norm -6 2>/dev/null
    sox -q "$work/mix.wav" "$work/head.wav" trim 0 24
    sox -q "$work/mix.wav" "$work/tail.wav" trim 24
    sox -q -D -m -v 1 "$work/head.wav" -v 1 "$work/tail.wav" -r 8000 -b 16 "$work/loop.wav" trim 0 24 highpass 60 lowpass 3300 norm -12 vol 0.125
    mkdir -p music
    pack "$work/loop.wav" music/default.flac
}

declare -A before
while IFS=$'\t' read -r file how; do before[$file]=$how; done <.made
made=0
# due FILE HOW: whether FILE is missing or was made in another way; notes how it is made now.
due() {
    printf '%s\t%s\n' "$1" "$recipe $2" >>"$work/made"
    [ "${before[$1]-}" != "$recipe $2" ] || [ ! -s "$1" ] || return 1
    made=$((made + 1))
}

: >"$work/made"
# Of TOML this reads what the file uses: tables, and lines of `"name" = "text"` or `name = "text"`.
awk '
    /^[[:space:]]*(#|$)/ { next }
    /^\[.*\]/ { gsub(/[][ "]/, ""); lang = $0; next }
    match($0, /^"?[A-Za-z0-9_\/-]+"?[[:space:]]*=[[:space:]]*".*"[[:space:]]*(#.*)?$/) {
        name = $0; sub(/[[:space:]]*=.*/, "", name); gsub(/"/, "", name)
        text = $0; sub(/^[^=]*=[[:space:]]*"/, "", text); sub(/"[[:space:]]*(#[^"]*)?$/, "", text); gsub(/\\"/, "\"", text)
        if (seen[lang, name]++) { printf "texts.toml:%d: %s stands twice in [%s]\n", NR, name, lang > "/dev/stderr"; exit 1 }
        printf "%s\t%s\t%s\n", lang, name, text
        next
    }
    { printf "texts.toml:%d: not of the form name = \"text\": %s\n", NR, $0 > "/dev/stderr"; exit 1 }
' texts.toml >"$work/texts"

while IFS=$'\t' read -r lang name text; do
    case "$lang" in
        # Not "cmn": in espeak-ng 1.51 that voice reads the pinyin of every character by the rules of English.
        zh-CN) voice=cmn-latn-pinyin speed=150 ;;
        en) voice=en-us speed=150 ;;
        *) echo "make.sh: no voice for [$lang]" >&2; exit 1 ;;
    esac
    file="$lang/$name.flac"
    if due "$file" "$voice $speed $text"; then
        mkdir -p "$(dirname "$file")"
        speak "$voice" "$speed" "$text" "$file"
    fi
done <"$work/texts"

if due music/default.flac music; then music; fi
sort "$work/made" >.made
echo "prompts: $made made, $(wc -l <.made) in all, $(du -ch --apparent-size {zh-CN,en,music} | tail -1 | cut -f1)" >&2
