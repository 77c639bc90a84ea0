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
  time: ["Time", "时间"], outcome: ["Outcome", "结果"], nobodyThere: ["No open contacts.", "没有进行中的联络。"],
  why: ["Why this agent", "为何分给该坐席"], noDecision: ["Not offered to an agent yet.", "尚未分配给坐席。"], ladder: ["SIP messages", "SIP 信令"], noLadder: ["No messages remembered.", "没有保留的信令。"], close: ["Close", "关闭"],
  chosen: ["Chosen", "选中"], runnerUp: ["Runner-up", "次选"], excluded: ["Not possible", "不可选"], score: ["Score", "得分"], overtaken: ["Passed over", "被越过"], step: ["Step", "步骤"],
  answered: ["Answered", "已接听"], abandoned_in_ivr: ["Abandoned in IVR", "IVR 中放弃"], abandoned_in_queue: ["Abandoned in queue", "排队中放弃"], abandoned_in_ring: ["Abandoned in ring", "振铃中放弃"], overflowed: ["Overflowed", "溢出"], callback_requested: ["Callback requested", "预约回呼"], voicemail: ["Voicemail", "语音留言"], self_served: ["Self-served", "自助完成"], rejected_closed: ["Rejected: closed", "非工作时间"], rejected_full: ["Rejected: full", "队列已满"], no_agent: ["No agent", "无坐席"], system_error: ["System error", "系统错误"],
  failed: ["That did not work: {why}", "操作失败：{why}"],
};

const remembered = () => { try { return localStorage.getItem("language"); } catch { return null; } };
let chinese = (remembered() ?? navigator.language).startsWith("zh");

export const t = (key, values = {}) => {
  const text = words[key]?.[chinese ? 1 : 0] ?? key;
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
