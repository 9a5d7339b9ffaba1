import { useEffect, useRef, useState } from "react";

/** `unknown`: not asked yet. `open`: it runs, and nothing was heard so far. */
type State = "unknown" | "open" | "heard" | "denied" | "none";
const LOUD = 0.02;
const LOOK_MS = 100;

/** Opens the microphone, shows how loud it is, and lets go of it with the component. Nothing is kept or sent. */
export function useMicrophone() {
  const [state, setState] = useState<State>("unknown");
  const [label, setLabel] = useState("");
  const [level, setLevel] = useState(0);
  const release = useRef<() => void>(() => undefined);
  useEffect(() => () => release.current(), []);
  const start = async () => {
    release.current();
    const devices = globalThis.navigator.mediaDevices as MediaDevices | undefined;
    if (!devices) {
      setState("none");
      return;
    }
    let stream: MediaStream;
    try {
      stream = await devices.getUserMedia({ audio: true });
    } catch (cause) {
      setState((cause as DOMException).name === "NotAllowedError" ? "denied" : "none");
      return;
    }
    setLabel(stream.getAudioTracks()[0]?.label ?? "");
    setState("open");
    const context = new AudioContext();
    const analyser = context.createAnalyser();
    context.createMediaStreamSource(stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    const timer = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      const loud = Math.sqrt(samples.reduce((sum, each) => sum + each * each, 0) / samples.length);
      setLevel(Math.min(1, loud * 4));
      if (loud > LOUD) setState("heard");
    }, LOOK_MS);
    release.current = () => {
      clearInterval(timer);
      stream.getTracks().forEach((track) => track.stop());
      void context.close();
      release.current = () => undefined;
    };
  };
  return { state, label, level, start };
}
