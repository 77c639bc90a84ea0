// Both languages of the pages, side by side.
const words = {
  title: ["Cordboard", "Cordboard 呼叫中心"],
  skip: ["Skip to content", "跳到内容"],
  signIn: ["Sign in", "登录"], signOut: ["Sign out", "退出登录"],
  user: ["User", "用户"], password: ["Password", "密码"],
  wrong: ["User or password is wrong.", "用户或密码错误。"],
  wait: ["Too many wrong passwords. Try again in {n} s.", "密码错误次数过多，请 {n} 秒后再试。"],
  welcome: ["Signed in as {name}", "已登录：{name}"],
  desk: ["Agent desk", "坐席工作台"], wallboard: ["Wallboard", "监控大屏"], api: ["API document", "接口文档"], metrics: ["Metrics", "指标"],
  language: ["中文", "English"],
  live: ["Live", "实时"], lost: ["Connection lost, trying again…", "连接中断，正在重连…"],
  notAgent: ["This desk is for agents; sign in as one.", "工作台供坐席使用，请以坐席身份登录。"],
  notSupervisor: ["The wallboard is for supervisors.", "监控大屏供班长使用。"],
  ready: ["Ready", "就绪"], not_ready: ["Not ready", "未就绪"], logged_out: ["Logged out", "已签出"], unreachable: ["Phone unreachable", "话机不可达"],
  reserved: ["Ringing", "振铃中"], connected: ["On a call", "通话中"], held: ["On hold", "保持中"], wrap_up: ["Wrap-up", "话后处理"], occupied: ["Other call", "其他通话"],
  in_ivr: ["In IVR", "IVR 中"], waiting: ["Waiting", "排队中"], offered: ["Being offered", "分配中"], closed: ["Closed", "已结束"],
  goReady: ["Ready", "就绪"], goNotReady: ["Not ready", "置忙"], logOut: ["Log out", "签出"], endWrapUp: ["End wrap-up", "结束话后处理"], hangUp: ["Hang up", "挂断"],
  reason: ["Reason", "原因"], break: ["Break", "小休"], lunch: ["Lunch", "用餐"], meeting: ["Meeting", "会议"], training: ["Training", "培训"], rona: ["Did not answer", "久振未接"], declined: ["Declined", "拒接"], other: ["Other", "其他"],
  myState: ["My state", "我的状态"], contact: ["Contact", "联络"], noContact: ["No contact now.", "当前没有联络。"], unknown: ["Unknown caller", "未知来电"],
  incoming: ["Incoming: {name}", "来电：{name}"],
  number: ["Number", "号码"], withheld: ["Number withheld", "号码未公开"], diverted: ["Diverted from", "转接自"], queue: ["Queue", "队列"], queues: ["Queues", "队列"], agents: ["Agents", "坐席"], contacts: ["Contacts", "联络"],
  valueClass: ["Class {n}", "客户等级 {n}"], lastContacts: ["Last contacts", "最近联络"], firstContact: ["First contact.", "首次联络。"], alsoHere: ["Also on this number", "同号码客户"],
  myDay: ["My day", "我的今日"], handled: ["Handled", "处理量"], talk: ["Talk", "通话"], hold: ["Hold", "保持"], acw: ["Wrap-up", "话后"], idle: ["Ready time", "就绪时长"], aht: ["AHT", "平均处理时长"], occupancy: ["Occupancy", "工时利用率"], answerRate: ["Offers answered", "接起率"],
  longest: ["Longest wait", "最长等待"], sl: ["Service level", "服务水平"], asa: ["ASA", "平均应答速度"], abandonment: ["Abandonment", "放弃率"], offeredToday: ["Offered today", "今日来电"], answeredToday: ["Answered", "已接"],
  agent: ["Agent", "坐席"], state: ["State", "状态"], inState: ["In state", "状态时长"], since: ["For", "时长"], class: ["Class", "等级"], details: ["Why?", "为什么？"],
  oversee: ["Supervise", "班长操作"], listen: ["Listen", "监听"], whisper: ["Whisper", "耳语"], barge: ["Barge in", "强插"], "take-over": ["Take over", "接管"],
  time: ["Time", "时间"], outcome: ["Outcome", "结果"], nobodyThere: ["No open contacts.", "没有进行中的联络。"],
  why: ["Why this agent", "为何分给该坐席"], noDecision: ["Not offered to an agent yet.", "尚未分配给坐席。"], ladder: ["SIP messages", "SIP 信令"], noLadder: ["No messages remembered.", "没有保留的信令。"], close: ["Close", "关闭"],
  chosen: ["Chosen", "选中"], runnerUp: ["Runner-up", "次选"], excluded: ["Not possible", "不可选"], score: ["Score", "得分"], overtaken: ["Passed over", "被越过"], step: ["Step", "步骤"],
  answered: ["Answered", "已接听"], abandoned_in_ivr: ["Abandoned in IVR", "IVR 中放弃"], abandoned_in_queue: ["Abandoned in queue", "排队中放弃"], abandoned_in_ring: ["Abandoned in ring", "振铃中放弃"], overflowed: ["Overflowed", "溢出"], callback_requested: ["Callback requested", "预约回呼"], voicemail: ["Voicemail", "语音留言"], self_served: ["Self-served", "自助完成"], rejected_closed: ["Rejected: closed", "非工作时间"], rejected_full: ["Rejected: full", "队列已满"], no_agent: ["No agent", "无坐席"], system_error: ["System error", "系统错误"],
  verbs: ["The call", "通话操作"], goHold: ["Hold", "保持"], goResume: ["Resume", "恢复通话"], to: ["To", "转至"], goTransfer: ["Transfer", "直接转接"], goConsult: ["Consult", "咨询"], goComplete: ["Complete transfer", "完成转接"], goBack: ["Back to caller", "返回来电"], goConfer: ["Add", "加入会议"], goAdd: ["Three-way call", "三方通话"],
  consultRings: ["Calling {to}…", "正在呼叫 {to}…"], consultTalks: ["Consulting {to}", "正在咨询 {to}"], passing: ["Passing on to {to}…", "正在转接至 {to}…"], whereTo: ["Say to whom.", "请填写转接目标。"], transferFailed: ["{to} did not take the call: {why}", "{to} 未接听转接：{why}"],
  goRecord: ["Record", "录音"], goPause: ["Pause recording", "暂停录音"], recording_on: ["Recording", "录音中"], recording_paused: ["Recording paused", "录音已暂停"], recordings: ["Recordings", "录音"], noRecordings: ["No recordings yet.", "暂无录音。"], listen: ["Listen", "播放"], length: ["Length", "时长"], incomplete: ["Incomplete", "不完整"],
  keys: ["Keypad", "拨号盘"], about: ["What it was about", "业务小结"], note: ["Note", "备注"], save: ["Save", "保存"], saveEnd: ["Save and end wrap-up", "保存并结束话后处理"], saved: ["Saved.", "已保存。"],
  shortcuts: ["Alt+H hold or resume · Alt+T to whom · Alt+C consult, complete · Alt+B back to caller · Alt+K keypad · Alt+R record, pause · Alt+N note", "Alt+H 保持/恢复 · Alt+T 转接目标 · Alt+C 咨询/完成 · Alt+B 返回来电 · Alt+K 拨号盘 · Alt+R 录音/暂停 · Alt+N 备注"],
  code_resolved: ["Resolved", "已解决"], code_follow_up: ["Follow up", "需跟进"], code_callback: ["Call back", "需回电"], code_complaint: ["Complaint", "投诉"], code_wrong_number: ["Wrong number", "打错电话"], code_spam: ["Nuisance", "骚扰电话"],
  offline: ["the centre cannot be reached", "无法连接呼叫中心"],
  status: ["SIP {n}", "SIP {n}"], status_404: ["not known there", "号码不存在"], status_408: ["no answer", "无人接听"], status_480: ["not reachable", "暂时不可达"], status_486: ["busy", "占线"], status_487: ["no answer", "无人接听"], status_603: ["declined", "拒接"],
  failed: ["That did not work: {why}", "操作失败：{why}"],
};

// The engine says why in English; what it says often is known here in Chinese.
const reasons = [
  [/^the contact is on hold$/, "联络已在保持中"], [/^the contact is not on hold$/, "联络未在保持中"], [/^the hold is a telephone's own/, "由话机保持，请在话机上恢复"],
  [/^the contact is not being recorded$/, "该联络未在录音"], [/^the contact is being recorded$/, "该联络正在录音"], [/^the caller does not want to be recorded$/, "来电方不同意录音"], [/^calls like this one are never recorded here$/, "此类通话不录音"],
  [/^no agent has the contact$/, "该联络尚无坐席接听"], [/^the contact is over$/, "联络已结束"], [/^the contact is not answered$/, "联络尚未接听"], [/^the agent consults nobody$/, "当前没有咨询"],
  [/^a conference is not passed on/, "会议不能转接，挂断即可退出"], [/^a conference is with agents/, "会议只能加入坐席或号码，请先咨询队列"], [/^whom the agent consults has not answered$/, "咨询对象尚未接听"], [/^the conference is full$/, "会议人数已满"],
  [/^the agent consults:/, "正在咨询，请先完成转接或返回来电"], [/^the contact is being passed on already$/, "正在转接中"], [/^only the agent who serves/, "仅服务该联络的坐席可以操作"],
  [/^(.+) leads to no agent, queue or flow$/, "{1} 不是坐席、队列或流程"], [/^(.+) is not free$/, "{1} 不空闲"], [/^(.+) has the contact$/, "{1} 已在此通话中"], [/^queue (.+) takes no more$/, "队列 {1} 已满"],
  [/^(.+) has no telephone: name another$/, "{1} 没有话机"], [/^the contact has too many supervisors$/, "监控该联络的班长过多"], [/^no RTP port is free$/, "没有空闲的媒体端口"],
  [/^the far end has not agreed to keys/, "对方不支持按键（RFC 4733）"], [/^nobody is at the other end$/, "对端无人"], [/^no agent has, or has just had/, "该联络已不可再填写小结"],
];

// Why something did not work, in the page's language as far as it is known there.
export function because(problem) {
  if (problem instanceof TypeError) return t("offline");
  if (!chinese) return problem.message;
  for (const [said, text] of reasons) {
    const found = said.exec(problem.message);
    if (found) return text.replace("{1}", found[1] ?? "");
  }
  return problem.message;
}

const remembered = () => { try { return localStorage.getItem("language"); } catch { return null; } };
let chinese = (remembered() ?? navigator.language).startsWith("zh");

export const t = (key, values = {}) => {
  const text = (words[key] ?? (key.startsWith("status_") ? words.status : null))?.[chinese ? 1 : 0] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
};
export const locale = () => (chinese ? "zh-CN" : "en");

export function translate(root = document) {
  document.documentElement.lang = locale();
  for (const one of root.querySelectorAll("[data-t]")) one.textContent = t(one.dataset.t);
  for (const one of root.querySelectorAll("[data-label]")) one.setAttribute("aria-label", t(one.dataset.label));
}

export function languageButton(button, changed) {
  const show = () => { button.textContent = t("language"); button.lang = chinese ? "en" : "zh-CN"; translate(); };
  button.addEventListener("click", () => {
    chinese = !chinese;
    try { localStorage.setItem("language", locale()); } catch { /* a private window forgets */ }
    show();
    changed?.();
  });
  show();
}
